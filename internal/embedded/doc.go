// Package embedded starts the components of walletd without Docker: what `walletd dev` runs and what tests run against.
//
// [StartPostgres], [StartKafka] and [StartRedis] start real servers as child processes; [StartDev] starts a PostgreSQL child
// with an in-process journal and cache beside it. Programs are fetched once into a cache directory that all of them share.
//
// A child never outlives its parent (on Linux the kernel sees to it, also after kill -9), has one owner that stops it, and
// writes its output to a log file in its own directory. Whatever a crash left behind, the next start on the same directory
// works or returns an error that says what to do.
package embedded
