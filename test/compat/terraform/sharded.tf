# A group in cluster mode, whose number of shards changes.

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

output "endpoint" {
  value = aws_elasticache_replication_group.sharded.configuration_endpoint_address
}
