# Launches the released template, as `gcloud dataflow flex-template run` would.
resource "google_cloud_scheduler_job" "launch" {
  count = var.schedule == null ? 0 : 1

  name        = "${var.name}-${replace(var.pipeline, "_", "-")}"
  description = "Launches the template ${var.pipeline}"
  region      = var.region
  schedule    = var.schedule
  time_zone   = var.time_zone

  # A launch that was taken but not answered must not be repeated: two jobs would read the same input.
  retry_config {
    retry_count = 0
  }

  http_target {
    http_method = "POST"
    uri         = "https://dataflow.googleapis.com/v1b3/projects/${var.project}/locations/${var.region}/flexTemplates:launch"
    headers     = { "Content-Type" = "application/json" }

    body = base64encode(jsonencode({
      launchParameter = {
        jobName              = "${var.name}-${replace(var.pipeline, "_", "-")}"
        containerSpecGcsPath = "gs://${google_storage_bucket.work.name}/templates/${var.pipeline}.json"
        parameters = merge(
          {
            output             = "gs://${google_storage_bucket.lake.name}/${var.pipeline}"
            dead_letter_output = "gs://${google_storage_bucket.dead_letters.name}/${var.pipeline}"
          },
          var.parameters,
        )
        environment = {
          serviceAccountEmail = google_service_account.worker.email
          tempLocation        = "gs://${google_storage_bucket.work.name}/temporary"
          stagingLocation     = "gs://${google_storage_bucket.work.name}/staging"
          maxWorkers          = var.max_workers
          ipConfiguration     = "WORKER_IP_PRIVATE"
        }
      }
    }))

    oauth_token {
      service_account_email = google_service_account.scheduler.email
      scope                 = "https://www.googleapis.com/auth/cloud-platform"
    }
  }

  depends_on = [google_project_service.needed]
}
