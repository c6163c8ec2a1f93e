//! Use a tool, as yourself: the place of the MCP proxy and registry.
//!
//! Nothing is built yet. What will stand here takes a `ucap_authz::Scope` like everything on a caller's side.
