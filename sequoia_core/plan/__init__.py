"""Choosing a tree: acceptance vectors, cost, dynamic program, optimiser; needs numpy alone."""
