"""One package per deployable process. Services never import each other; they meet at topics, gRPC and tables."""
