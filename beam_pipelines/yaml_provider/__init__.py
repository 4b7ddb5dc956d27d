"""Every public transform in Beam YAML: `provider.yaml` names them, this room makes them of plain configuration.

Beam YAML's elements are whatever transforms pass on. Between ours they are batches, as in Python; RowsToBatches and
BatchesToRows are the edges to Beam's own transforms, which take rows. What a batch holds is known of each
PCollection (`known`), so that nobody has to say it twice.
"""
