# The lake: rows, aggregates, manifests. Nothing in it is deleted by age.
resource "google_storage_bucket" "lake" {
  name                        = "${var.project}-${var.name}-lake"
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = !var.deletion_protection

  versioning {
    enabled = true
  }

  # Versions that were replaced or deleted stay a while for repair.
  lifecycle_rule {
    condition {
      days_since_noncurrent_time = 30
    }
    action {
      type = "Delete"
    }
  }

  lifecycle_rule {
    condition {
      age = 1
    }
    action {
      type = "AbortIncompleteMultipartUpload"
    }
  }

  depends_on = [google_project_service.needed]
}

# Raw payloads of rows that were refused: a bucket of its own, so that fewer people may read it, and for a time only.
resource "google_storage_bucket" "dead_letters" {
  name                        = "${var.project}-${var.name}-dead-letters"
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = !var.deletion_protection

  lifecycle_rule {
    condition {
      age = var.dead_letter_days
    }
    action {
      type = "Delete"
    }
  }

  depends_on = [google_project_service.needed]
}

# Templates, and what jobs stage and leave behind. Templates stay; the rest goes by age.
resource "google_storage_bucket" "work" {
  name                        = "${var.project}-${var.name}-work"
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = !var.deletion_protection

  # Deleted staging files would be kept, and paid for, for a week.
  soft_delete_policy {
    retention_duration_seconds = 0
  }

  lifecycle_rule {
    condition {
      age            = var.temporary_days
      matches_prefix = ["temporary/", "staging/", "smoke/"]
    }
    action {
      type = "Delete"
    }
  }

  depends_on = [google_project_service.needed]
}
