"""Everything the services run on: the local stack, schemas, images and dashboards."""
