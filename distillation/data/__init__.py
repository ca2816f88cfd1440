"""Data distillation: public prompts that the teacher answers, and where each of them came from."""
