# Replication groups that begin without cluster mode, whose every attribute that the
# provider changes in place is a setting, with clusters as resources of their own:
# replicas, one of Memcached and a lone one.

terraform {
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100"
    }
  }
}

variable "endpoint" {
  type = string
}

variable "groups" {
  description = "By their ids."
  type = map(object({
    description    = optional(string, "a life")
    engine         = optional(string, "redis")
    engine_version = optional(string, "7.0")
    node_type      = optional(string, "cache.t4g.micro")
    parameters     = optional(string)
    members        = optional(number, 2)
    shards         = optional(number)
    replicas       = optional(number)
    failover       = optional(bool, false)
    multi_az       = optional(bool, false)
    minor_versions = optional(bool, true)
    window         = optional(string, "sun:05:00-sun:06:00")
    snapshot       = optional(string, "03:00-04:00")
    tls            = optional(bool, false)
    tls_mode       = optional(string)
    token          = optional(string)
    strategy       = optional(string)
    cluster_mode   = optional(string)
    rules          = optional(bool, false)
    now            = optional(bool, true)
    tag            = optional(string, "first")
  }))
}

variable "clusters" {
  type = object({
    replicas     = number
    nodes        = number
    az_mode      = string
    lone_version = string
    lone_type    = string
  })
}

provider "aws" {
  region                      = "us-east-1"
  skip_metadata_api_check     = true
  skip_region_validation      = true
  skip_credentials_validation = false

  endpoints {
    elasticache = var.endpoint
    ec2         = var.endpoint
    sts         = var.endpoint
  }
}

resource "aws_elasticache_parameter_group" "own" {
  name   = "life-parameters"
  family = "redis7"

  parameter {
    name  = "maxmemory-policy"
    value = "allkeys-lru"
  }
}

resource "aws_security_group" "own" {
  name = "life"

  ingress {
    from_port   = 6379
    to_port     = 6379
    protocol    = "tcp"
    cidr_blocks = ["0.0.0.0/0"]
  }
}

resource "aws_elasticache_replication_group" "life" {
  for_each                   = var.groups
  replication_group_id       = each.key
  description                = each.value.description
  engine                     = each.value.engine
  engine_version             = each.value.engine_version
  node_type                  = each.value.node_type
  parameter_group_name       = each.value.parameters == "own" ? aws_elasticache_parameter_group.own.name : each.value.parameters
  num_cache_clusters         = each.value.shards == null ? each.value.members : null
  num_node_groups            = each.value.shards
  replicas_per_node_group    = each.value.replicas
  automatic_failover_enabled = each.value.failover
  multi_az_enabled           = each.value.multi_az
  auto_minor_version_upgrade = each.value.minor_versions
  maintenance_window         = each.value.window
  snapshot_window            = each.value.snapshot
  transit_encryption_enabled = each.value.tls
  transit_encryption_mode    = each.value.tls_mode
  auth_token                 = each.value.token
  auth_token_update_strategy = each.value.strategy
  security_group_ids         = each.value.rules ? [aws_security_group.own.id] : null
  cluster_mode               = each.value.cluster_mode
  apply_immediately          = each.value.now
  tags                       = { Name = each.value.tag }
}

resource "aws_elasticache_replication_group" "joined" {
  replication_group_id = "life-joined"
  description          = "whose replicas are resources"
  engine               = "redis"
  engine_version       = "7.1"
  node_type            = "cache.t4g.micro"
  num_cache_clusters   = 1

  lifecycle {
    ignore_changes = [num_cache_clusters]
  }
}

resource "aws_elasticache_cluster" "replica" {
  count                = var.clusters.replicas
  cluster_id           = "life-replica-${count.index}"
  replication_group_id = aws_elasticache_replication_group.joined.id
  tags                 = { Name = "replica" }
}

resource "aws_elasticache_cluster" "memcached" {
  cluster_id        = "life-memcached"
  engine            = "memcached"
  node_type         = "cache.t4g.micro"
  num_cache_nodes   = var.clusters.nodes
  az_mode           = var.clusters.az_mode
  apply_immediately = true
  tags              = { Name = "memcached" }
}

resource "aws_elasticache_cluster" "lone" {
  cluster_id        = "life-lone"
  engine            = "redis"
  engine_version    = var.clusters.lone_version
  node_type         = var.clusters.lone_type
  num_cache_nodes   = 1
  apply_immediately = true
  tags              = { Name = "lone" }
}

data "aws_elasticache_replication_group" "life" {
  for_each             = var.groups
  replication_group_id = each.key
  depends_on           = [aws_elasticache_replication_group.life]
}

data "aws_elasticache_cluster" "life" {
  for_each   = toset(concat(aws_elasticache_cluster.replica[*].cluster_id, ["life-memcached", "life-lone"]))
  cluster_id = each.key
  depends_on = [aws_elasticache_cluster.replica, aws_elasticache_cluster.memcached, aws_elasticache_cluster.lone]
}

# What resources and data sources do not agree about. Resources keep the addresses that
# their groups have no more, and data sources do not read the port of a lone node.
output "differences" {
  value = concat(
    flatten([for id, r in aws_elasticache_replication_group.life : [for name in [
      "arn", "automatic_failover_enabled", "cluster_mode", "configuration_endpoint_address", "description", "member_clusters", "multi_az_enabled", "node_type",
      "num_cache_clusters", "num_node_groups", "port", "primary_endpoint_address", "reader_endpoint_address", "replicas_per_node_group", "snapshot_window"
      ] : "${id} ${name}" if jsonencode(r[name]) != jsonencode(data.aws_elasticache_replication_group.life[id][name]) && data.aws_elasticache_replication_group.life[id][name] != null
    ]]),
    flatten([for r in concat(aws_elasticache_cluster.replica, [aws_elasticache_cluster.memcached, aws_elasticache_cluster.lone]) : [for name in [
      "arn", "availability_zone", "cache_nodes", "cluster_address", "configuration_endpoint", "engine", "maintenance_window", "node_type", "num_cache_nodes",
      "parameter_group_name", "port", "replication_group_id", "security_group_ids", "snapshot_window", "subnet_group_name", "tags"
      ] : "${r.cluster_id} ${name}" if jsonencode(r[name]) != jsonencode(data.aws_elasticache_cluster.life[r.cluster_id][name]) && data.aws_elasticache_cluster.life[r.cluster_id][name] != null
    ]]),
  )
}
