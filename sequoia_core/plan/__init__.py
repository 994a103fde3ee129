"""Choosing a tree: acceptance vectors, cost model, dynamic program, optimiser; needs numpy alone."""
