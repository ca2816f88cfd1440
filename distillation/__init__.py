"""How knowledge moves.

Studies, teachers, soft labels, students, objectives, the DP trainer and evaluation. Knows no Flower.
"""
