# What a group and a cluster that were made otherwise look like to Terraform.

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

import {
  to = aws_elasticache_replication_group.imported
  id = "imported"
}

resource "aws_elasticache_replication_group" "imported" {
  replication_group_id       = "imported"
  description                = "made by the CLI"
  engine                     = "valkey"
  engine_version             = "8.0"
  node_type                  = "cache.t4g.micro"
  port                       = 6380
  num_cache_clusters         = 2
  automatic_failover_enabled = true
  multi_az_enabled           = true
  transit_encryption_enabled = true
  tags                       = { Name = "imported" }

  # The provider gives this a default before 6.0, and so changes whatever it imports.
  lifecycle {
    ignore_changes = [auth_token_update_strategy]
  }
}

import {
  to = aws_elasticache_replication_group.sharded
  id = "imported-sharded"
}

resource "aws_elasticache_replication_group" "sharded" {
  replication_group_id       = "imported-sharded"
  description                = "made by the CLI"
  engine                     = "redis"
  engine_version             = "7.1"
  node_type                  = "cache.t4g.micro"
  parameter_group_name       = "default.redis7.cluster.on"
  num_node_groups            = 2
  replicas_per_node_group    = 0
  automatic_failover_enabled = true

  lifecycle {
    ignore_changes = [auth_token_update_strategy]
  }
}

import {
  to = aws_elasticache_cluster.imported
  id = "imported-memcached"
}

resource "aws_elasticache_cluster" "imported" {
  cluster_id      = "imported-memcached"
  engine          = "memcached"
  node_type       = "cache.t4g.micro"
  num_cache_nodes = 2
  az_mode         = "cross-az"
}
