// Package catalog knows what can be created: node types, engine versions as
// ElastiCache names them, and which engine installed on this host serves each
// of them. It is pure: it reads no file and runs no program.
package catalog
