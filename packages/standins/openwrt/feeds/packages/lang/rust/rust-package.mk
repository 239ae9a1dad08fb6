# What the package takes of rust-package.mk of the packages feed, in few words. packages/check reads it,
# nothing else.

RUST_ARCH_DEPENDS:=@(mips||mipsel||x86_64)
CARGO_PKG_PROFILE:=release
CARGO_PKG_VARS=CARGO_HOME=$(DL_DIR)/cargo
Build/Compile/Cargo=$(CARGO_PKG_VARS) cargo install --profile $(CARGO_PKG_PROFILE) --features "$(RUST_PKG_FEATURES)" --path "$(PKG_BUILD_DIR)/$(1)" --locked $(2)
