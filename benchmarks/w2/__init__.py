"""W2: W1 from CSV, Avro and Parquet. Types come with the format, rules are judged as in W1."""
