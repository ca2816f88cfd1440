"""What a classifier is worth on public data, with how sure that is: figures, slices, costs."""
