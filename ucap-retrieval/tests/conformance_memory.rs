//! The memory backend obeys the laws of a datastore.

fn main() {
    ucap_retrieval::conformance::run(ucap_retrieval::conformance::Memory);
}
