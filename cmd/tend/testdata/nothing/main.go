// Nothing is a program in Go that does nothing: what initctl status is measured
// against.
package main

func main() {}
