"""Jobs on Google's Dataflow: templates launched and updated, jobs followed and stopped."""
