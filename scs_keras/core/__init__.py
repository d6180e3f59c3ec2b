"""The mechanism of the paper, free of any task: cell, layer, network, switch, LTSC, model, goals, metrics, analysis."""
