"""A pipeline packaged as a Dataflow flex template: all of it generated from the pipeline's options."""
