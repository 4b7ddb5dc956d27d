"""Options that several pipelines have: one frozen dataclass for each subject, which pipelines inherit.

A pipeline that reads files and writes a lake says `class Options(ReadingOptions, WritingOptions)` and adds
options of its own; help shows them in the order of the bases. What the options of a group do to a graph is
in the module of the same subject in `pipelines.steps`.
"""
