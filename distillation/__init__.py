"""How knowledge moves.

Studies, teachers, soft labels, students, objectives, the DP trainer, evaluation. No Flower here.
"""
