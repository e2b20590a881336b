// Package robustness runs replication groups through faults and changes at the
// same time, and holds what clients saw against a model: at most one primary takes
// writes at any instant, no acknowledged write is lost beyond what asynchronous
// replication allows, every operation is completed or refused, and in the end the
// API says what the engines are.
//
// It runs shortly with the other tests, and longer by `make robustness`. A seed
// decides what is drawn; it is printed. What was found is in the README.
package robustness
