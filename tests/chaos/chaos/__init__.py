"""A whole stack under load and under fire, and a reading of the evidence afterwards.

`load` sends and writes down what it was answered; `faults` kills, stops, fills and loses; `evidence` reads what can be
seen from outside; `checker` compares. Nothing here shares code with the services: only `sluice_local.stack`, which
starts and stops processes, is ours.
"""
