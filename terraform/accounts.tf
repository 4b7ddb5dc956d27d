# Three accounts, each with what its part needs and no more: roles on a resource wherever there are such, and on the
# project only where Dataflow has no smaller place to grant them.

# Launchers and workers of jobs.
resource "google_service_account" "worker" {
  account_id   = "${var.name}-worker"
  display_name = "Dataflow launchers and workers of ${var.name}"
}

# What the schedule launches as.
resource "google_service_account" "scheduler" {
  account_id   = "${var.name}-scheduler"
  display_name = "Launches templates of ${var.name} by schedule"
}

# What Cloud Build builds, pushes and smoke-tests as.
resource "google_service_account" "builder" {
  account_id   = "${var.name}-builder"
  display_name = "Builds templates of ${var.name}"
}

locals {
  worker    = google_service_account.worker.member
  scheduler = google_service_account.scheduler.member
  builder   = google_service_account.builder.member
  # Keys that are known before the accounts are made.
  launchers = merge({ scheduler = local.scheduler, builder = local.builder }, { for who in var.launchers : who => who })
}

# Work units, logs and metrics of jobs: these are granted on the project alone.
resource "google_project_iam_member" "worker" {
  for_each = toset(["roles/dataflow.worker", "roles/bigquery.jobUser"])

  project = var.project
  role    = each.key
  member  = local.worker
}

resource "google_project_iam_member" "launcher" {
  for_each = local.launchers

  project = var.project
  role    = "roles/dataflow.developer"
  member  = each.value
}

resource "google_project_iam_member" "builder_logs" {
  project = var.project
  role    = "roles/logging.logWriter"
  member  = local.builder
}

# Who launches a job hands it the workers' account.
resource "google_service_account_iam_member" "launches_as_worker" {
  for_each = local.launchers

  service_account_id = google_service_account.worker.name
  role               = "roles/iam.serviceAccountUser"
  member             = each.value
}

resource "google_storage_bucket_iam_member" "worker" {
  for_each = {
    lake         = google_storage_bucket.lake.name
    dead_letters = google_storage_bucket.dead_letters.name
    work         = google_storage_bucket.work.name
  }

  bucket = each.value
  role   = "roles/storage.objectUser"
  member = local.worker
}

# A template is read by who launches it, and written by who builds it.
resource "google_storage_bucket_iam_member" "launcher" {
  for_each = local.launchers

  bucket = google_storage_bucket.work.name
  role   = "roles/storage.objectViewer"
  member = each.value
}

resource "google_storage_bucket_iam_member" "builder" {
  bucket = google_storage_bucket.work.name
  role   = "roles/storage.objectUser"
  member = local.builder
}

resource "google_artifact_registry_repository_iam_member" "worker" {
  location   = google_artifact_registry_repository.images.location
  repository = google_artifact_registry_repository.images.name
  role       = "roles/artifactregistry.reader"
  member     = local.worker
}

resource "google_artifact_registry_repository_iam_member" "builder" {
  location   = google_artifact_registry_repository.images.location
  repository = google_artifact_registry_repository.images.name
  role       = "roles/artifactregistry.writer"
  member     = local.builder
}

resource "google_pubsub_subscription_iam_member" "worker" {
  for_each = toset(["roles/pubsub.subscriber", "roles/pubsub.viewer"])

  subscription = google_pubsub_subscription.events.name
  role         = each.key
  member       = local.worker
}

resource "google_pubsub_topic_iam_member" "worker" {
  topic  = google_pubsub_topic.refused.name
  role   = "roles/pubsub.publisher"
  member = local.worker
}

resource "google_bigquery_dataset_iam_member" "worker" {
  dataset_id = google_bigquery_dataset.results.dataset_id
  role       = "roles/bigquery.dataEditor"
  member     = local.worker
}
