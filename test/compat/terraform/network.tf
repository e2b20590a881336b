# A network of one's own: subnets in three zones, groups with rules in both forms,
# the default group adopted, and a cluster in it.

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

variable "port" {
  type    = number
  default = 6379
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

data "aws_availability_zones" "all" {
  state = "available"
}

resource "aws_vpc" "network" {
  cidr_block           = "10.20.0.0/16"
  enable_dns_hostnames = true
  tags                 = { Name = "terraform" }
}

resource "aws_subnet" "zone" {
  count             = 3
  vpc_id            = aws_vpc.network.id
  cidr_block        = cidrsubnet(aws_vpc.network.cidr_block, 8, count.index)
  availability_zone = data.aws_availability_zones.all.names[count.index]
  tags              = { Name = "terraform-${count.index}" }
}

resource "aws_security_group" "app" {
  name   = "terraform-app"
  vpc_id = aws_vpc.network.id

  egress {
    from_port   = 0
    to_port     = 0
    protocol    = "-1"
    cidr_blocks = ["0.0.0.0/0"]
  }
}

resource "aws_security_group" "cache" {
  name        = "terraform-cache"
  description = "redis from the application"
  vpc_id      = aws_vpc.network.id

  ingress {
    description     = "redis"
    from_port       = var.port
    to_port         = var.port
    protocol        = "tcp"
    security_groups = [aws_security_group.app.id]
    self            = true
  }

  ingress {
    from_port        = 8
    to_port          = -1
    protocol         = "icmp"
    cidr_blocks      = [aws_vpc.network.cidr_block]
    ipv6_cidr_blocks = []
  }

  tags = { Name = "terraform-cache" }
}

resource "aws_security_group" "separate" {
  name   = "terraform-separate"
  vpc_id = aws_vpc.network.id
}

resource "aws_vpc_security_group_ingress_rule" "office" {
  security_group_id = aws_security_group.separate.id
  description       = "office"
  cidr_ipv4         = "10.20.0.0/24"
  ip_protocol       = "tcp"
  from_port         = var.port
  to_port           = var.port
}

resource "aws_vpc_security_group_ingress_rule" "peers" {
  security_group_id            = aws_security_group.separate.id
  referenced_security_group_id = aws_security_group.app.id
  ip_protocol                  = "-1"
}

resource "aws_vpc_security_group_egress_rule" "everything" {
  security_group_id = aws_security_group.separate.id
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "-1"
  tags              = { Name = "out" }
}

resource "aws_security_group_rule" "older" {
  security_group_id = aws_security_group.app.id
  type              = "ingress"
  protocol          = "tcp"
  from_port         = 443
  to_port           = 443
  cidr_blocks       = ["10.20.1.0/24"]
}

resource "aws_default_security_group" "default" {
  vpc_id = aws_vpc.network.id

  ingress {
    protocol  = "-1"
    self      = true
    from_port = 0
    to_port   = 0
  }
}

data "aws_security_group" "default" {
  vpc_id     = aws_vpc.network.id
  name       = "default"
  depends_on = [aws_default_security_group.default]
}

data "aws_ami" "host" {
  owners = ["larder"]
}

resource "aws_instance" "app" {
  ami                    = data.aws_ami.host.id
  instance_type          = "t3.micro"
  subnet_id              = aws_subnet.zone[1].id
  vpc_security_group_ids = [aws_security_group.app.id]
  tags                   = { Name = "terraform-app" }
}

resource "aws_elasticache_subnet_group" "cache" {
  name       = "terraform-network"
  subnet_ids = aws_subnet.zone[*].id
}

resource "aws_elasticache_cluster" "cache" {
  cluster_id         = "terraform-network"
  engine             = "redis"
  engine_version     = "7.0"
  node_type          = "cache.t4g.micro"
  num_cache_nodes    = 1
  subnet_group_name  = aws_elasticache_subnet_group.cache.name
  security_group_ids = [aws_security_group.cache.id, aws_security_group.separate.id]
}
