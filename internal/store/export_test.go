package store

// OpenWithUpgrades is Open of a program whose schema has more versions.
var OpenWithUpgrades = open
