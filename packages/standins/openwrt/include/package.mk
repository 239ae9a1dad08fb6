# What the package takes of OpenWrt's package.mk, in few words. packages/check reads it, nothing else.
#
#   features   the features that cargo is told, from CONFIG_*
#   compile    the command of cargo
#   config     the options of menuconfig
#   install    the files of the package, beneath DESTDIR; PKG_BUILD_DIR is the source, PKG_INSTALL_DIR
#              has bin/adieu

define BuildPackage
  ifneq ($(words $(PKG_NAME) $(PKG_VERSION) $(PKG_RELEASE) $(PKG_SOURCE) $(PKG_HASH)),5)
    $$(error something of PKG_* is missing)
  endif
  define shown
$(Package/$(1)/config)
  endef
  export shown
features:
	@echo $$(RUST_PKG_FEATURES)
compile:
	@echo '$$(Build/Compile)'
config:
	@echo "$$$$shown"
install:
	$$(call Package/$(1)/install,$$(DESTDIR))
version:
	@echo $$(PKG_VERSION)
endef
