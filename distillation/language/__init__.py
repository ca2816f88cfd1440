"""Language models: causal teachers, students cut from them, their trained parts, text and tests."""
