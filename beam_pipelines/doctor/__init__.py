"""The doctor: small proofs of what a runner has to do for these pipelines, and what is wrong when it doesn't.

`probes` is the job, `worker` what each worker tells of itself, `findings` what is made of both. How the job gets to
a runner, and what is done when it never comes back, is the command line's business.
"""
