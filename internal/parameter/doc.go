// Package parameter is the tables of cache parameters: what each family of
// parameter groups has, what values a parameter may take, and how the values
// reach a Redis, Valkey or Memcached process. It is pure.
package parameter
