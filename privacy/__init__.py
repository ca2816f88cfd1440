"""What a release costs.

Events, accountants, plans, the ledger and the report. Knows neither torch nor Flower.
"""
