//! Kubernetes Jobs as attempts.
