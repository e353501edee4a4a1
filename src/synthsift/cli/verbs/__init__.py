"""One file a verb: its flags, and the call; nothing heavy is imported before the verb is called."""
