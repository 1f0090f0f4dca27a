//! One transparency log: sequencing, storage, recovery, publication.
