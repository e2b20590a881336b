# A replication group with TLS and an AUTH token, as it would stand for AWS.
# Only the provider block names Larder; with `eval "$(larder env)"` in the shell
# and AWS_ENDPOINT_URL understood by the provider, not even that is needed.

terraform {
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.31"
    }
  }
}

variable "endpoint" {
  description = "Where Larder listens."
  type        = string
  default     = "http://127.0.0.1:4566"
}

variable "auth_token" {
  description = "16 to 128 printable characters; punctuation of ! & # $ ^ < > -"
  type        = string
  sensitive   = true
}

variable "auth_token_update_strategy" {
  description = "ROTATE lets the old token in as well, SET ends it."
  type        = string
  default     = "ROTATE"
}

provider "aws" {
  region                      = "us-east-1"
  skip_metadata_api_check     = true
  skip_region_validation      = true
  skip_requesting_account_id  = false
  skip_credentials_validation = false

  endpoints {
    elasticache = var.endpoint
    ec2         = var.endpoint
    sts         = var.endpoint
  }
}

# The subnets and the security group of the region's default VPC.
data "aws_vpc" "default" {
  default = true
}

data "aws_subnets" "default" {
  filter {
    name   = "default-for-az"
    values = ["true"]
  }
}

data "aws_security_group" "default" {
  vpc_id = data.aws_vpc.default.id
  name   = "default"
}

resource "aws_elasticache_subnet_group" "sample" {
  name        = "sample-subnets"
  description = "All zones of the default VPC"
  subnet_ids  = data.aws_subnets.default.ids
  tags        = { Name = "sample" }
}

resource "aws_elasticache_parameter_group" "sample" {
  name        = "sample-parameters"
  family      = "redis7"
  description = "Evict any key, tell of expiries"

  parameter {
    name  = "maxmemory-policy"
    value = "allkeys-lru"
  }
  parameter {
    name  = "notify-keyspace-events"
    value = "Ex"
  }
}

resource "aws_elasticache_replication_group" "sample" {
  replication_group_id = "sample-replication-group"
  description          = "Three nodes over three zones"

  engine               = "redis"
  engine_version       = "7.1"
  node_type            = "cache.t4g.micro"
  port                 = 6379
  parameter_group_name = aws_elasticache_parameter_group.sample.name
  subnet_group_name    = aws_elasticache_subnet_group.sample.name
  security_group_ids   = [data.aws_security_group.default.id]

  num_cache_clusters         = 3
  automatic_failover_enabled = true
  multi_az_enabled           = true
  auto_minor_version_upgrade = true

  maintenance_window = "sun:05:00-sun:06:00"
  snapshot_window    = "03:00-04:00"

  transit_encryption_enabled = true
  auth_token                 = var.auth_token
  auth_token_update_strategy = var.auth_token_update_strategy
  apply_immediately          = true

  tags = { Name = "sample" }
}

output "primary_endpoint" {
  value = aws_elasticache_replication_group.sample.primary_endpoint_address
}

output "reader_endpoint" {
  value = aws_elasticache_replication_group.sample.reader_endpoint_address
}
