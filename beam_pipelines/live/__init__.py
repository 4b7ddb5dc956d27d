"""Numbers of running jobs: for a terminal, a page, Prometheus and its pushgateway, all the same ones."""
