"""Reports for people: self-contained HTML pages with plots. Needs the extra [report] (jinja2, matplotlib)."""
