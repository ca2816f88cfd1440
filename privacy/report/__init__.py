"""What people and scripts read of a study: report.json, the page made from it, its charts."""
