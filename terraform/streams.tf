resource "google_pubsub_topic" "events" {
  name = "${var.name}-events"

  # What is published can be read again, so a faulty release can be mended.
  message_retention_duration = "604800s" # 7 days

  depends_on = [google_project_service.needed]
}

resource "google_pubsub_subscription" "events" {
  name  = "${var.name}-events"
  topic = google_pubsub_topic.events.id

  # Dataflow extends deadlines itself. No dead-letter policy here: it counts a runner's retries as failed deliveries,
  # and the pipeline has dead letters of its own.
  ack_deadline_seconds         = 60
  message_retention_duration   = "604800s" # 7 days
  enable_exactly_once_delivery = false

  expiration_policy {
    ttl = "" # never, also when no job has read it for a month
  }
}

# For what a pipeline refuses and somebody else shall hear of.
resource "google_pubsub_topic" "refused" {
  name = "${var.name}-refused"

  depends_on = [google_project_service.needed]
}

resource "google_bigquery_dataset" "results" {
  dataset_id                 = replace(var.name, "-", "_")
  location                   = var.region
  description                = "What pipelines of ${var.name} write"
  delete_contents_on_destroy = !var.deletion_protection

  depends_on = [google_project_service.needed]
}
