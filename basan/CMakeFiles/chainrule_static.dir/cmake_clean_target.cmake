file(REMOVE_RECURSE
  "libchainrule.a"
)
