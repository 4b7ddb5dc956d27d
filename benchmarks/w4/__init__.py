"""W4: rows of Parquet scored by a logistic regression of scikit-learn, and written again."""
