"""What the loader has to say about files that it could read: findings SS101 to SS118.

One function a finding. Each says what was seen with numbers, why it matters, and what to do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from synthsift.data.columns import ENDLESS
from synthsift.records import Finding, Severity


def some(items: Sequence[object], limit: int = 5) -> str:
    """List the first items for a sentence."""
    shown = ", ".join(str(item) if isinstance(item, int | float) else repr(item) for item in items[:limit])
    return shown + (f" and {len(items) - limit} more" if len(items) > limit else "")


def _counts(counts: Mapping[str, int], limit: int = 5) -> str:
    """List names with their counts, largest first."""
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    shown = ", ".join(f"{name} ({count:,})" for name, count in ranked[:limit])
    return shown + (f" and {len(ranked) - limit} more" if len(ranked) > limit else "")


def _rows(counts: Mapping[str, int], of: str = "") -> str:
    """Say how many rows all counts together are."""
    total = sum(counts.values())
    return f"{total:,} {of}row{'s' * (total != 1)}"


def ignored_splits(counts: Mapping[str, int]) -> Finding:
    """SS101: real rows in splits that no flag names."""
    return Finding(
        "SS101",
        Severity.note,
        "Real rows in splits that were not named are ignored",
        f"{_rows(counts, 'real ')} {'lie' if sum(counts.values()) > 1 else 'lies'} in other splits: {_counts(counts)}.",
        "They could have been training or validation rows.",
        "If they should take part, name their split with --train-split, --valid-split or --test-split.",
    )


def empty_columns(names: Sequence[str]) -> Finding:
    """SS102: columns without a single value in the real rows."""
    return Finding(
        "SS102",
        Severity.note,
        "Columns without any value in the real rows are kept out",
        f"{some(names)} hold nothing but missing cells in the real rows.",
        "A model judged on real rows cannot use them, and values only in synthetic rows would give their origin away.",
        "Nothing has to be done; check the export if values were expected there.",
    )


def infinite_numbers(counts: Mapping[str, int]) -> Finding:
    """SS103: infinite cells, and those too large to be computed with."""
    return Finding(
        "SS103",
        Severity.warning,
        "Infinite numbers count as missing",
        f"Cells that are infinite or beyond ±{ENDLESS:g}, by column: {_counts(counts)}.",
        "No mean or distance exists with them; they usually come from a division by zero.",
        "Mend the step that wrote them, or replace them by a large finite number if they mean one.",
    )


def lacking_columns(lacking: Mapping[str, Sequence[str]]) -> Finding:
    """SS104: columns of the real file that other files lack."""
    seen = "; ".join(f"{file} lacks {some(names)}" for file, names in list(lacking.items())[:5])
    return Finding(
        "SS104",
        Severity.warning,
        "Columns differ between files",
        f"{seen}{f'; and {len(lacking) - 5} more files' if len(lacking) > 5 else ''}. The cells count as missing.",
        "Missing cells tell these rows apart from all others, whatever the data are worth.",
        "Give every file the same columns: generate the lacking ones or take them out of the real file.",
    )


def unnamed_columns(names: Sequence[str]) -> Finding:
    """SS105: columns without a name, as a stored index."""
    return Finding(
        "SS105",
        Severity.note,
        "Columns without a name are kept out",
        f"Kept out: {some(names)}.",
        "Such columns are as a rule row numbers that were saved with the table.",
        "Name the column if it is data; otherwise save without the index.",
    )


def texts_as_categories(names: Sequence[str]) -> Finding:
    """SS106: a column that looks like documents."""
    return Finding(
        "SS106",
        Severity.warning,
        "A column looks like running text",
        f"Most cells of {some(names)} are distinct, and they are longer than 30 characters on average.",
        "As categories they carry almost nothing.",
        f"If {names[0]!r} is what the model should read, add --text {names[0]}; otherwise take the column out.",
    )


def spoiled_numbers(column: str, where: str, odd: str, kind: str = "numbers") -> Finding:
    """SS107: a column of numbers, or of dates, that one file turns into categories."""
    return Finding(
        "SS107",
        Severity.warning,
        "A column of numbers or dates became categories",
        f"{column!r} holds only {kind} in the real rows, but {where} has {odd!r} in it.",
        f"The whole column is treated as categories, so the order and distance of its {kind} are lost.",
        f"Mend or drop the rows that hold {odd!r}, or leave the cell empty if it means missing.",
    )


def only_synthetic_columns(names: Mapping[str, Sequence[str]]) -> Finding:
    """SS108: columns that only synthetic files have."""
    seen = "; ".join(f"{some(columns)} in {file}" for file, columns in list(names.items())[:5])
    return Finding(
        "SS108",
        Severity.warning,
        "Columns that no real file has are kept out",
        f"Only in synthetic files: {seen}{f'; and {len(names) - 5} more files' if len(names) > 5 else ''}.",
        "A model judged on real rows cannot use them.",
        "Nothing has to be done; if the name is only spelled differently, rename it.",
    )


def unknown_synthetic_labels(labels: Mapping[str, int]) -> Finding:
    """SS109: synthetic rows whose label no real row has."""
    return Finding(
        "SS109",
        Severity.warning,
        "Synthetic rows with a label that no real row has are left out",
        f"{_rows(labels)} with the label{'s' * (len(labels) > 1)} {_counts(labels)}.",
        "Without real rows of a class nobody can tell whether its synthetic rows help.",
        "Correct the spelling of the label, or add real rows of it.",
    )


def labels_only_in_valid(labels: Sequence[object]) -> Finding:
    """SS110: classes that the training file lacks."""
    return Finding(
        "SS110",
        Severity.note,
        "Labels that only validation rows have",
        f"No real training row has {some(labels)}.",
        "Training and validation rows are pooled, so the classes take part; few rows of them can be learned from.",
        "Add real training rows of these classes if there are any.",
    )


def unknown_test_labels(labels: Mapping[str, int]) -> Finding:
    """SS111: test rows that cannot be predicted."""
    return Finding(
        "SS111",
        Severity.warning,
        "Test rows with a label that no real training row has are kept out",
        f"{_rows(labels, 'test ')} with the label{'s' * (len(labels) > 1)} {_counts(labels)}.",
        "No model trained here can predict them, so they would only lower every result alike.",
        "Correct the spelling of the label, or add real training rows of it.",
    )


def single_rows(labels: Sequence[object]) -> Finding:
    """SS112: classes with one real row."""
    return Finding(
        "SS112",
        Severity.warning,
        "Classes with a single real row",
        f"{some(labels)} {'has' if len(labels) == 1 else 'have'} one real row each.",
        "A class of one row is either in the training part of a split or judged, never both.",
        "Add real rows of these classes, merge them with others, or take them out.",
    )


def unknown_parents(count: int, total: int, column: str) -> Finding:
    """SS113: parents that are no real row."""
    return Finding(
        "SS113",
        Severity.warning if count == total else Severity.note,
        "Parents that are no real row",
        f"{count:,} of {total:,} entries of {column!r} name no real row that was read.",
        "Such synthetic rows cannot be kept away from the judging of the row they were made from.",
        "Check what the column refers to: ids (with --id) or row numbers of a split (with --parent-split).",
    )


def missing_texts(counts: Mapping[str, int], total: int, column: str) -> Finding:
    """SS114: rows without a text, counted by file, of `total` that were read."""
    lost = sum(counts.values())
    return Finding(
        "SS114",
        Severity.warning,
        "Rows without text",
        f"{lost:,} of {total:,} rows {'has' if lost == 1 else 'have'} no text in {column!r}: {_counts(counts)}.",
        "Cells that are empty or hold no text count as empty texts, from which nothing can be learned.",
        "Fill them in or take these rows out.",
    )


def unused_columns(names: Sequence[str], text: str) -> Finding:
    """SS115: columns beside the text."""
    return Finding(
        "SS115",
        Severity.note,
        "Columns beside the text are not used",
        f"With --text {text}, these are passed over: {some(names)}.",
        "The model reads the text alone.",
        "Leave out --text to use the columns as a table instead.",
    )


def mixed_scales(byte_files: Sequence[str], other_files: Sequence[str]) -> Finding:
    """SS116: arrays of bytes beside arrays of other numbers."""
    return Finding(
        "SS116",
        Severity.warning,
        "Arrays of bytes beside arrays of other numbers",
        f"uint8 (scaled from 0-255 to 0-1): {some(byte_files)}; taken as they are: {some(other_files)}.",
        "If the second are not between 0 and 1, real and synthetic rows differ by scale alone.",
        "Store all arrays with the same dtype and scale.",
    )


def missing_groups(count: int, total: int, column: str) -> Finding:
    """SS117: real rows without a group."""
    return Finding(
        "SS117",
        Severity.note,
        "Real rows without a group",
        f"{count:,} of {total:,} real rows have no entry in {column!r}.",
        "Each of them counts as a group of its own, so near-copies among them may straddle a split.",
        "Fill the column in if these rows belong together.",
    )


def values_that_hardly_repeat(examples: Mapping[str, str]) -> Finding:
    """SS118: columns of dates, ids or names, as a rule, each with one of its values."""
    shown = ", ".join(f"{name!r} (such as {value[:40]!r})" for name, value in list(examples.items())[:5])
    more = f" and {len(examples) - 5} more" if len(examples) > 5 else ""
    return Finding(
        "SS118",
        Severity.warning,
        "A column's values hardly repeat",
        f"Most real cells hold a value that fewer than 3 rows have, in {shown}{more}.",
        "Categories of fewer than 3 rows count as one, so the column is as good as left out.",
        "Dates and times: write them like 2024-03-01 or 2024-03-01 14:30, or as numbers. Ids and names: leave the "
        "column out.",
    )
