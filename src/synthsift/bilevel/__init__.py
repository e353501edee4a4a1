"""Meta-learning of data weights: meta-network, exact scores, objective, diagnostics."""
