# Groups in cluster mode, whose numbers of shards and replicas change: one as plain as
# can be, and one with replicas, TLS, a token and parameters of its own.

terraform {
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.31"
    }
  }
}

variable "endpoint" {
  type = string
}

variable "shards" {
  type    = number
  default = 2
}

variable "replicas" {
  type    = number
  default = 1
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

resource "aws_elasticache_replication_group" "sharded" {
  replication_group_id       = "sharded"
  description                = "a group in cluster mode"
  engine                     = "valkey"
  engine_version             = "8.0"
  node_type                  = "cache.t4g.micro"
  parameter_group_name       = "default.valkey8.cluster.on"
  num_node_groups            = var.shards
  replicas_per_node_group    = 0
  automatic_failover_enabled = true
  apply_immediately          = true
  at_rest_encryption_enabled = false
}

resource "aws_elasticache_parameter_group" "sharded" {
  name   = "sharded-parameters"
  family = "redis7"

  parameter {
    name  = "cluster-enabled"
    value = "yes"
  }
  parameter {
    name  = "maxmemory-policy"
    value = "allkeys-lru"
  }
}

resource "aws_elasticache_replication_group" "replicated" {
  replication_group_id       = "sharded-replicated"
  description                = "a group in cluster mode with replicas"
  engine                     = "redis"
  engine_version             = "7.1"
  node_type                  = "cache.t4g.micro"
  parameter_group_name       = aws_elasticache_parameter_group.sharded.name
  num_node_groups            = var.shards
  replicas_per_node_group    = var.replicas
  automatic_failover_enabled = true
  multi_az_enabled           = true
  transit_encryption_enabled = true
  auth_token                 = "terraform-token-0001"
  apply_immediately          = true
  tags                       = { Name = "sharded" }
}

output "members" {
  value = length(aws_elasticache_replication_group.replicated.member_clusters)
}

output "cluster_enabled" {
  value = aws_elasticache_replication_group.replicated.cluster_enabled
}

output "endpoint" {
  value = aws_elasticache_replication_group.sharded.configuration_endpoint_address
}
