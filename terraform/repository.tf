resource "google_artifact_registry_repository" "images" {
  location      = var.region
  repository_id = "templates"
  description   = "Images of flex templates: launcher and workers in one"
  format        = "DOCKER"

  # A template names its image by digest, so tags may go; what is in use is recent or kept by its tag.
  cleanup_policies {
    id     = "delete-old"
    action = "DELETE"

    condition {
      older_than = "7776000s" # 90 days
    }
  }

  cleanup_policies {
    id     = "keep-recent"
    action = "KEEP"

    most_recent_versions {
      keep_count = 10
    }
  }

  depends_on = [google_project_service.needed]
}
