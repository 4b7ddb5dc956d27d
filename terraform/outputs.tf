output "bucket" {
  description = "Bucket of templates, staging and temporary files: _BUCKET of cloudbuild.yaml."
  value       = google_storage_bucket.work.name
}

output "lake" {
  description = "Where pipelines write."
  value       = "gs://${google_storage_bucket.lake.name}"
}

output "repository" {
  description = "Where images are pushed."
  value       = "${var.region}-docker.pkg.dev/${var.project}/${google_artifact_registry_repository.images.repository_id}"
}

output "workers" {
  description = "Account of launchers and workers: _WORKERS of cloudbuild.yaml."
  value       = google_service_account.worker.email
}

output "builder" {
  description = "Account for Cloud Build: gcloud builds submit --service-account."
  value       = google_service_account.builder.id
}

output "subscription" {
  description = "Subscription that streaming jobs read."
  value       = google_pubsub_subscription.events.id
}
