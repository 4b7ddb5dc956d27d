"""The events that several workloads read, and the rules that they are judged by."""
