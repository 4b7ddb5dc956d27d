variable "project" {
  description = "Id of the Google Cloud project."
  type        = string
}

variable "region" {
  description = "Region of everything: buckets, repository, queues, tables and jobs."
  type        = string
  default     = "europe-west1"
}

variable "name" {
  description = "Begins the name of everything that is made."
  type        = string
  default     = "beam-pipelines"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,19}$", var.name))
    error_message = "Names begin with a letter and have 3 to 20 small letters, digits and dashes."
  }
}

variable "pipeline" {
  description = "Pipeline whose template is scheduled."
  type        = string
  default     = "event_analytics"
}

variable "schedule" {
  description = "When the template is launched, as unix-cron; null for never."
  type        = string
  default     = null
}

variable "time_zone" {
  description = "Time zone of the schedule."
  type        = string
  default     = "Etc/UTC"
}

variable "parameters" {
  description = "Parameters of a scheduled launch, beside the output; see the template's README. No secrets: name the file that holds one."
  type        = map(string)
  default     = {}
}

variable "max_workers" {
  description = "Most workers that a scheduled job may take."
  type        = number
  default     = 4
}

variable "temporary_days" {
  description = "Days until what a job staged or left behind is deleted."
  type        = number
  default     = 7
}

variable "dead_letter_days" {
  description = "Days until dead letters are deleted: they hold raw payloads, so no longer than the law and the repair allow."
  type        = number
  default     = 30
}

variable "launchers" {
  description = "Who may launch templates beside the schedule, such as \"group:data@example.com\"."
  type        = set(string)
  default     = []
}

variable "deletion_protection" {
  description = "Keep buckets that hold objects, and tables, from being destroyed."
  type        = bool
  default     = true
}
